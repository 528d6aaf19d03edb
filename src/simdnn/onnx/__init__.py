"""Guards as ONNX files, and judging by them without PyTorch."""
