"""The errors that this package raises. Every message says what was expected, what was found and what to do."""


class SimDNNError(Exception):
    """Base class of every error that this package raises on purpose."""


class InputError(SimDNNError, ValueError):
    """An argument, a feature matrix or a data folder that cannot be used as given."""


class ImageReadError(SimDNNError):
    """A file that could not be read as an image; the message says why, in one line."""


class ImageTooLargeError(ImageReadError):
    """An image of more bytes or pixels than are allowed."""


class ImageKindError(ImageReadError):
    """A file of another kind than the image formats that are read."""


class WeightsError(SimDNNError):
    """Network weights that are missing, do not fit the network, or are not those the guard was fitted with."""


class ModelFileError(SimDNNError):
    """A guard file that is truncated, altered, newer than this version, or something else."""


class AuditError(SimDNNError):
    """An audit store that cannot be opened, read or written, or a record that it does not hold."""


class UnknownRecordError(AuditError):
    """A record or an action that the audit store does not hold."""


class ServiceError(SimDNNError):
    """A request that the service refused, or a service that cannot be reached.

    Attributes
    ----------
    status : HTTP status; None where there was no answer
    retry_after : seconds after which to ask again, where the service said so
    """

    def __init__(self, detail: str, status: int | None, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after


class OutputError(SimDNNError):
    """A result that cannot be written: a full disk, a folder that is not there or may not be written."""
