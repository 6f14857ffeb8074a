"""Calls to IAM in files of any shape: one search for whole CloudTrail records, wherever a file has them.

The search needs no shape: it finds IAM's name as an ``eventSource``, and takes the JSON object around it. So a
record is found in a log file, in a list, behind a time, or as text within other JSON. Files are read as a stream,
so that neither their number nor their size matters for the memory.
"""

import codecs
import gzip
import json
import os
import re
import tarfile
import zipfile
import zlib
from contextlib import suppress
from glob import glob
from itertools import chain

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
TAR = slice(257, 262), b"ustar"
#: Names of logs in a folder or an archive end like this. The reader leaves other files alone.
SUFFIXES = (".json", ".jsonl", ".ndjson", ".log", ".gz", ".tgz", ".tar", ".zip")
SYNC = "aws s3 sync s3://BUCKET/PREFIX logs"
LOOKUP = (
    "aws cloudtrail lookup-events --region us-east-1 "
    "--lookup-attributes AttributeKey=EventSource,AttributeValue=iam.amazonaws.com > events.json"
)
GET_LOGS = f"copy the logs of your trail with `{SYNC}`, or ask for the last 90 days with `{LOOKUP}`"
WHOLE_RECORDS = "have lookup-events print CloudTrailEvent, and a query or an export the whole event as JSON"

IAM = "iam.amazonaws.com"
#: The source in a record of IAM, with backslashes if the record is text within JSON.
CALL_TO_IAM = re.compile(r'eventSource(\\*)"\s*:\s*\\*"iam\.amazonaws\.com')
LONGEST_KEY = 99
#: A record of any service. Notifications of S3 look alike, with a source ``aws:s3``.
ANY_RECORD = re.compile(r'eventSource\\*"\s*:\s*\\*"(?!aws:)')
OPENING_QUOTE = re.compile(r'(?<!\\)"')
BEFORE_DETAIL = re.compile(r'"detail"\s*:\s*$')
#: A whole record has the first two of these, and one of the others; Insights name a source and a call, too.
RECORD_KEYS = {"eventSource", "eventName"}
MORE_KEYS = {"eventVersion", "eventID", "eventTime", "userIdentity"}
#: How much is read at once, and how long a record may be, with what it is wrapped in.
CHUNK = LONGEST = 1 << 20
DECODER = json.JSONDecoder()


class NotALog(ValueError):
    """A file that is no CloudTrail log, or not wholly one. Its text says why."""


#: The errors of compressed data; zipfile has a RuntimeError for what is encrypted.
DAMAGED = (EOFError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile)
UNREADABLE = (NotALog, UnicodeError, OSError, *DAMAGED)


class NoFile(ValueError):
    """A path that stands for no file. Its text says why."""


class OtherJSON(NotALog):
    """A file of JSON that has nothing to do with IAM, such as a digest file."""


def files(path):
    """The files that a path stands for: a file itself, a folder with all below it, or a pattern.

    :returns: a list of (file, whether it was found in a folder)
    :raises NoFile: if it stands for none
    """
    if path.startswith("s3://"):
        raise NoFile(f"nothing here calls AWS; first run `aws s3 sync {path} logs`, then name logs")
    found = []
    for name in [path] if os.path.lexists(path) else sorted(glob(path)):
        if os.path.isdir(name):
            found += [(file, True) for file in in_folder(name)]
        else:
            found.append((name, False))
    if not found:
        endings = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        problem = f"the folder holds no log ({endings})" if os.path.isdir(path) else "no such file"
        raise NoFile(f"{problem}; {GET_LOGS}")
    return found


def in_folder(folder):
    """The logs below a folder, in the order of their names: CloudTrail's folders are dates."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(names) if is_log_name(name))


def is_log_name(name):
    return name.lower().endswith(SUFFIXES)


def read(path):
    """The calls to IAM in a file, or in the files of an archive.

    :returns: (the file's name, what was found): records, EventBridge's events that carry one, and a
        :class:`NotALog` for what could not be read
    """
    try:
        with open(path, "rb") as raw:
            for name, stream in opened(path, raw):
                try:
                    for entry in calls_in(stream):
                        yield name, entry
                except UNREADABLE as error:
                    yield name, problem_of(error)
    except UNREADABLE as error:
        yield path, problem_of(error)


def problem_of(error):
    """An error about a file as a :class:`NotALog`."""
    if isinstance(error, NotALog):
        return error
    if isinstance(error, OSError) and error.strerror:
        return NotALog(error.strerror.lower())
    if isinstance(error, UnicodeError):
        return NotALog("it is not text")
    return NotALog(f"its compressed data is damaged, cut off or encrypted ({error})")


def opened(name, stream):
    """The (name, text) of a file, or of each file in an archive: read one before you ask for the next."""
    head = stream.peek(512)[:512]
    where, mark = TAR
    if head.startswith(GZIP):
        yield from opened(name, gzip.GzipFile(fileobj=stream))
    elif head.startswith(ZIP):
        with zipfile.ZipFile(stream) as archive:
            for member in filter(is_log_name, archive.namelist()):
                with archive.open(member) as file:
                    yield from opened(f"{name}:{member}", file)
    elif head[where] == mark:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.isfile() and is_log_name(member.name):
                    yield from opened(f"{name}:{member.name}", archive.extractfile(member))
    else:
        yield name, codecs.getreader(json.detect_encoding(head))(stream)


def calls_in(stream):
    """The calls to IAM in a text.

    :raises NotALog: in the end, if the text is no log, or has calls that are not whole
    """
    text = Text(stream)
    broken, found = [], False
    for line, entry in search(text):
        found = True
        if entry is None:
            broken.append(line)
        else:
            yield entry
    if broken:
        calls = "a call" if len(broken) == 1 else f"{len(broken)} calls"
        raise NotALog(f"{calls} to IAM, from line {broken[0]} on, cannot be read whole; {WHOLE_RECORDS}")
    if not found:
        text.check_is_log()
    if text.first in "[{" and text.last not in "]}":
        raise NotALog("it is cut off; the calls before that count")


class Text:
    """A stream of text in chunks, and what is known of it when it has been read."""

    def __init__(self, stream):
        self.stream = stream
        self.head = self.first = self.last = ""
        self.size = 0
        self.has_records = self.names_iam = False

    def __iter__(self):
        for chunk in iter(lambda: self.stream.read(CHUNK), ""):
            self.head = self.head or chunk
            self.size += len(chunk)
            self.first = self.first or chunk.lstrip()[:1]
            self.last = chunk.rstrip()[-1:] or self.last
            self.has_records = self.has_records or bool(ANY_RECORD.search(chunk))
            self.names_iam = self.names_iam or IAM in chunk
            yield chunk

    def check_is_log(self):
        """Refuse a text without a call to IAM if it is no log."""
        if not self.first:
            raise NotALog("it is empty")
        if self.has_records:
            return
        try:
            value = json.loads(self.head) if self.size == len(self.head) else None
        except (ValueError, RecursionError):
            raise NotALog("it is not JSON") from None
        if value == [] or (isinstance(value, dict) and [] in (value.get("Records"), value.get("Events"))):
            return
        kind = NotALog if self.names_iam else OtherJSON
        raise kind(f"it holds no whole record of CloudTrail; {WHOLE_RECORDS}")


def search(chunks):
    """The calls to IAM in a text that comes in chunks: (line, entry), or None as entry if it is not whole."""
    text, line = "", 1
    # What is still to be found begins behind the floor; what is left to search, where it was seen.
    floor = seen = 0
    for chunk in chain(chunks, [""]):
        text += chunk
        end = max(seen, len(text) - LONGEST) if chunk else len(text)
        for source in CALL_TO_IAM.finditer(text, seen, end) if IAM in text else ():
            at = source.start()
            if at < floor:
                continue  # it is within what has been read
            where = line + text.count("\n", 0, at)
            if source[1]:
                string, floor = string_around(text, at, floor)
                yield from ((where, entry) for _, entry in (search([string]) if string else [(1, None)]))
            else:
                entry, floor = object_around(text, at, floor)
                if not is_insight(entry):
                    yield where, entry if is_record(record_of(entry)) else None
        cut = max(0, floor, end - LONGEST)
        line += text.count("\n", 0, cut)
        text, floor, seen = text[cut:], 0, max(0, floor - cut, end - LONGEST_KEY - cut)


def object_around(text, at, floor):
    """The JSON object that a place in a text is in, or EventBridge's event if it is the detail of one.

    :returns: the object, and where it ends; None, and the place itself, if there is none
    """
    found, end, start = None, at + 1, at
    while (start := text.rfind("{", floor, start)) >= 0:
        with suppress(ValueError, RecursionError):
            value, behind = DECODER.raw_decode(text, start)
            if behind <= at:
                continue
            if found is None or is_envelope(value):
                found, end = value, behind
            if found is not value or not BEFORE_DETAIL.search(text, max(floor, start - LONGEST_KEY), start):
                break
    return found, end


def string_around(text, at, floor):
    """The JSON string that a place in a text is in, as :func:`object_around`."""
    quotes = [quote.start() for quote in OPENING_QUOTE.finditer(text, floor, at)]
    if quotes:
        with suppress(ValueError):
            string, end = DECODER.raw_decode(text, quotes[-1])
            if end > at:
                return string, end
    return None, at + 1


def is_envelope(entry):
    return isinstance(entry, dict) and "detail" in entry and "detail-type" in entry


def record_of(entry):
    return entry["detail"] if is_envelope(entry) else entry


def is_record(record):
    return isinstance(record, dict) and record.keys() >= RECORD_KEYS and not MORE_KEYS.isdisjoint(record)


def is_insight(entry):
    """Whether this is what Insights tell of a call, which was not made by anybody."""
    return isinstance(entry, dict) and "insightType" in entry
