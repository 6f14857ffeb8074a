"""CloudTrail's logs as files: folders, gzip, log files, JSON lines, EventBridge's envelopes.

Files are read as a stream, so that neither their number nor their size matters for the memory.
"""

import gzip
import io
import json
import os
import re
import zlib
from glob import glob
from pathlib import Path

GZIP = b"\x1f\x8b"
#: Names of logs in a folder end like this. The reader leaves other files alone.
SUFFIXES = (".json", ".jsonl", ".ndjson", ".log", ".gz")
#: A CloudTrail record has at least one of these.
RECORD_KEYS = {"eventVersion", "eventID", "eventName", "eventSource", "userIdentity"}
#: A file whose first entries are all no records is no log.
FIRST_ENTRIES = 1000
#: How much is read at once, and how long one JSON value may be. CloudTrail's records have up to 256 KB.
CHUNK = 1 << 20
LOOKAHEAD = 64
LONGEST = 1 << 24

LIST = re.compile(r'\[|\{\s*"Records"\s*:\s*\[')
SPACE = re.compile(r"\s*")
DECODER = json.JSONDecoder()


class NotALog(ValueError):
    """A file that is no CloudTrail log. Its text says why."""


class NoFile(ValueError):
    """A path that stands for no file. Its text says why."""


class OtherJSON(NotALog):
    """A file of JSON that has nothing to do with CloudTrail's records, such as a digest file."""


def files(path):
    """The files that a path stands for: a file itself, a folder with all below it, or a pattern.

    :returns: a list of (file, whether it was found in a folder)
    :raises NoFile: where it stands for none
    """
    found = []
    for name in [path] if os.path.lexists(path) else sorted(glob(path)):
        if os.path.isdir(name):
            found += [(file, True) for file in in_folder(name)]
        else:
            found.append((name, False))
    if not found:
        endings = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        folder = os.path.isdir(path)
        raise NoFile(f"the folder holds no log ({endings})" if folder else "no such file")
    return found


def in_folder(folder):
    """The logs below a folder, in the order of their names: CloudTrail's folders are dates."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(names) if name.lower().endswith(SUFFIXES))


def read(path):
    """The entries of a log file: CloudTrail records, EventBridge events, or what stands in their place.

    :param path: ``{"Records": […]}``, a list, or single records or events, one after the other;
        with gzip or without
    :raises NotALog: where the file holds anything else
    :raises OSError: where it cannot be read
    """
    waiting, log = [], False
    for entry in decoded(path):
        if not log:
            waiting.append(entry)
            log = is_record(record_of(entry))
            if log:
                yield from waiting
            elif len(waiting) == FIRST_ENTRIES:
                break
        else:
            yield entry
    if waiting and not log:
        raise OtherJSON("it is JSON, but none of its entries is a record of CloudTrail")


def decoded(path):
    """The entries of a file, whatever they are."""
    try:
        with open(Path(path), "rb") as raw:
            zipped = raw.peek(2)[:2] == GZIP
            with gzip.GzipFile(fileobj=raw) if zipped else raw as data:
                yield from Scanner(io.TextIOWrapper(data, encoding="utf-8-sig")).entries()
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise NotALog("its gzip data is damaged or cut off") from None
    except UnicodeDecodeError:
        raise NotALog("it is not text") from None


class Scanner:
    """JSON values out of a stream of text, the members of top-level lists and of ``Records`` one by one."""

    def __init__(self, stream):
        self.stream = stream
        self.text = ""
        self.position = 0
        self.ended = False
        self.line = 1
        self.count = 0

    def entries(self):
        """Every entry.

        :raises NotALog: where the text is not JSON, or holds nothing
        """
        if not self.peek():
            raise NotALog("it is empty")
        while self.peek():
            for entry in self.values():
                self.count += 1
                yield entry

    def values(self):
        """The entries of one top-level value."""
        head = LIST.match(self.text, self.position)
        if not head:
            value = self.value()
            if not isinstance(value, dict):
                raise NotALog("it is not JSON of CloudTrail")
            found = value.get("Records", [value])
            if not isinstance(found, list):
                raise NotALog("its Records are no list")
            yield from found
            return
        self.move(head.end())
        if self.peek() == "]":
            self.move(self.position + 1)
            if head[0] == "[":
                raise NotALog("it is an empty list")
        else:
            yield self.value()
            while self.token(",]") == ",":
                yield self.value()
        if head[0] != "[":
            self.end_object()

    def end_object(self):
        """Go behind the end of an object, over what follows its first value."""
        while self.token(",}") == ",":
            self.value()
            self.token(":")
            self.value()

    def token(self, expected):
        """The next character that is no white space, which has to be one of those expected."""
        found = self.peek()
        if not found or found not in expected:
            self.fail()
        self.move(self.position + 1)
        return found

    def value(self):
        """The next JSON value, as Python has it."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.position)
            except RecursionError:
                self.fail()
            except ValueError:
                if self.ended or len(self.text) - self.position > LONGEST:
                    self.fail()
            else:
                if self.ended or end < len(self.text):  # a number might go on
                    self.move(end)
                    return value
            self.more()

    def peek(self):
        """The next character that is no white space, or an empty text at the end."""
        while True:
            self.move(SPACE.match(self.text, self.position).end())
            if self.ended or self.position + LOOKAHEAD < len(self.text):
                return self.text[self.position : self.position + 1]
            self.more()

    def move(self, position):
        self.line += self.text.count("\n", self.position, position)
        self.position = position

    def more(self):
        chunk = self.stream.read(CHUNK)
        self.ended = not chunk
        self.text, self.position = self.text[self.position :] + chunk, 0

    def fail(self):
        """Say how far the text was JSON."""
        where = f"line {self.line} is not JSON, from entry {self.count + 1} on"
        raise NotALog(where if self.count else "it is not JSON") from None


def is_envelope(entry):
    """Whether an entry is EventBridge's event."""
    return isinstance(entry, dict) and "detail" in entry and "detail-type" in entry


def record_of(entry):
    """The CloudTrail record of an entry."""
    return entry["detail"] if is_envelope(entry) else entry


def is_record(record):
    """Whether this is a record of CloudTrail. Notifications of S3 look alike, with a source ``aws:s3``."""
    if not isinstance(record, dict) or str(record.get("eventSource")).startswith("aws:"):
        return False
    return not RECORD_KEYS.isdisjoint(record)
