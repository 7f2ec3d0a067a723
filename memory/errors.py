"""Errors a person can act on: each says what happened, to what, and what to do."""


class StoryloomError(Exception):
    """A problem told in one paragraph; the command line prints it and exits with 1."""


class StoryNotFound(StoryloomError):
    """No story, or more than one, answers to the reference that was given."""


class StrandNotFound(StoryloomError):
    """The story has no such strand, or the strand no such depth."""


class LoreNotFound(StoryloomError):
    """No lore entry or character of the story, or more than one, answers to the reference."""


class StepConflict(StoryloomError):
    """Somebody else committed a step at this place first; nothing of theirs was touched."""


class StoreUnavailable(StoryloomError):
    """The database can't be opened, read or written: locked, full, damaged or from a newer version."""


class NotRecorded(StoryloomError):
    """What is asked about a step was not kept when it was written."""


class ModelUnavailable(StoryloomError):
    """The model can't be loaded or reached: weights missing or damaged, server down, extra missing."""


class EngineUnavailable(StoryloomError):
    """The machines that shall write can't be reached, or are lost again and again."""


class ModelFailed(StoryloomError):
    """The model was reached, and its answer could not be used even after bounded retries."""


class UnsupportedRequest(StoryloomError):
    """The engine lacks what was asked of it: a sampler, a schema, a plain completion."""


class PromptTooLong(StoryloomError):
    """The prompt can't fit the model's context, even with every optional slot cut."""


class InvalidText(StoryloomError):
    """Text from a person that can't be taken as it is: empty, or too long."""


class InvalidSetting(StoryloomError):
    """A setting, profile or template that can't be used."""


class ImportRefused(StoryloomError):
    """A file that can't be imported: malformed, too large, or its story already exists."""


class StateRefused(StoryloomError):
    """What a model remembered of a story can't be used: damaged, of another model, or of another version."""


class BatchChanged(StoryloomError):
    """A batch's file asks for another text than the one that was begun under the same key."""


class InvalidSpec(StoryloomError):
    """A batch's file that can't be used: a line of text for each problem, with its place in the file."""
