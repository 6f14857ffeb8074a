"""The logs that a replay reads: files, folders and patterns, in every form that they come in."""

import gzip
import json
import os
import tracemalloc

import pytest
from records import lines, record, user, written

from sandbox import cloudtrail, logs, replay
from sandbox.__main__ import main

BOB = record(user("bob"))
BOTH = [BOB, record(user("bob"), "ListUsers")]
ENVELOPES = [cloudtrail.envelope(r) for r in BOTH]
LOG = json.dumps({"Records": BOTH})

FORMATS = {
    "log-file": LOG,
    "indented": json.dumps({"Records": BOTH}, indent=2),
    "byte-order-mark": "\ufeff" + LOG,
    "gzip": gzip.compress(LOG.encode()),
    "gzip-in-two-parts": gzip.compress(LOG[:99].encode()) + gzip.compress(LOG[99:].encode()),
    "records-by-line": lines(BOTH),
    "records-by-line-gzip": gzip.compress(lines(BOTH).encode()),
    "empty-lines": "\n\n" + lines(BOTH) + "\n",
    "indented-one-after-the-other": "\n".join(json.dumps(r, indent=2) for r in BOTH),
    "envelopes-by-line": lines(ENVELOPES),
    "record-and-envelope": lines([BOTH[0], ENVELOPES[1]]),
    "log-files-by-line": lines({"Records": [r]} for r in BOTH),
    "records-behind-something-else": json.dumps({"account": "1", "Records": BOTH}),
    "records-before-something-else": json.dumps({"Records": BOTH, "account": {"id": [1, 2]}, "n": 5}),
    "list-of-envelopes": json.dumps(ENVELOPES),
    "list-of-records": json.dumps(BOTH),
}
SINGLE = {"envelope": json.dumps(ENVELOPES[0], indent=2), "record": json.dumps(BOB)}
NOTIFICATION = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
DIGEST = json.dumps({"awsAccountId": "1", "digestS3Bucket": "trail", "logFiles": []})
BAD = {
    "empty": ("", "empty"),
    "blank": (" \n\n", "empty"),
    "text": ("2026-01-05 CreateUser by bob\n", "not JSON"),
    "binary": (bytes(range(256)), "not text"),
    "cut-off-gzip": (FORMATS["gzip"][:-20], "gzip"),
    "only-gzips-first-bytes": (b"\x1f\x8b", "gzip"),
    "gzip-of-text": (gzip.compress(b"hello"), "not JSON"),
    "cut-off-json": (LOG[:-20], "not JSON, from entry 2 on"),
    "cut-off-behind-the-records": (LOG[:-1], "not JSON, from entry 3 on"),
    "cut-off-lines": (lines(BOTH)[:-20], "line 2"),
    "no-comma": (LOG.replace("}, {", "} {"), "not JSON, from entry 2 on"),
    "number": ("5", "CloudTrail"),
    "another-object": ('{"hello": "world"}', "CloudTrail"),
    "another-list": ("[1, 2]", "CloudTrail"),
    "a-long-other-list": (json.dumps([{}] * 2000), "CloudTrail"),
    "empty-list": ("[]", "empty list"),
    "records-that-are-no-list": ('{"Records": 5}', "Records"),
    "notification-of-s3": (json.dumps({"Records": [NOTIFICATION]}), "CloudTrail"),
    "finding-of-guardduty": ('{"detail-type": "GuardDuty Finding", "detail": {"id": "1"}}', "CloudTrail"),
    "nested-too-deep": ("[" * 100_000, "not JSON"),
}


def records_in(path):
    return [logs.record_of(entry) for entry in logs.read(path)]


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_a_log_is_read_in_every_form_that_it_comes_in(tmp_path, content):
    """Log files, zipped or not, JSON lines and EventBridge's envelopes all give the same records."""
    assert records_in(written(tmp_path / "log", content)) == BOTH


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_a_log_may_be_cut_anywhere_while_it_is_read(tmp_path, monkeypatch, content):
    """However little of a file is read at once, its records are the same."""
    monkeypatch.setattr(logs, "CHUNK", 7)
    monkeypatch.setattr(logs, "LOOKAHEAD", 20)
    assert records_in(written(tmp_path / "log", content)) == BOTH


@pytest.mark.parametrize("content", SINGLE.values(), ids=SINGLE)
def test_a_single_entry_is_read(tmp_path, content):
    """A file may hold one record or one envelope."""
    assert records_in(written(tmp_path / "log", content)) == [BOB]


def test_entries_that_are_no_records_count_beside_one_that_is(tmp_path):
    """The text before the first record of a file is kept, too."""
    log = written(tmp_path / "log", json.dumps([None, "text", BOB, 5]))
    assert list(logs.read(log)) == [None, "text", BOB, 5]


@pytest.mark.parametrize("form", ["one file", "lines"])
def test_the_size_of_a_log_does_not_matter_for_the_memory(tmp_path, form):
    """A log of many megabytes is read record by record, zipped or not."""
    entry = json.dumps({**BOB, "requestParameters": {"filler": "x" * 1000}})
    with gzip.open(tmp_path / "log", "wt", compresslevel=1) as log:
        log.write('{"Records": [' if form == "one file" else "")
        for _ in range(20_000):
            log.write(entry + (",\n" if form == "one file" else "\n"))
        log.write(entry + ("]}" if form == "one file" else ""))
    tracemalloc.start()
    try:
        assert sum(1 for _ in logs.read(tmp_path / "log")) == 20_001
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.fixture
def no_sandbox(monkeypatch):
    """Starting a sandbox is an error."""
    monkeypatch.setattr(replay, "Sandbox", None)


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_log_is_named_before_anything_starts(tmp_path, capsys, no_sandbox, content, reason):
    """A bad file beside a good one gets one line that names it and says why, and exit status 2."""
    good, bad = written(tmp_path / "good", LOG), written(tmp_path / "bad", content)
    assert main(["replay", str(good), str(bad)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"replay: {bad} is not a CloudTrail log: ")
    assert err.count("\n") == 1
    assert reason in err


def test_paths_that_cannot_be_read_are_named_each(tmp_path, capsys, no_sandbox):
    """A missing file, a pattern that nothing matches, and a folder without logs get a line each."""
    folder = tmp_path / "empty"
    written(folder / "README.md", "no log")
    paths = [tmp_path / "missing", tmp_path / "*.json", folder]
    assert main(["replay", "--json", *map(str, paths)]) == 2
    missing, pattern, empty = capsys.readouterr().err.splitlines()
    assert missing == f"replay: {paths[0]}: no such file"
    assert pattern == f"replay: {paths[1]}: no such file"
    assert empty.startswith(f"replay: {folder}: the folder holds no log (*.json, ")


def test_a_dangling_link_is_no_such_file(tmp_path, capsys, no_sandbox):
    """A link whose target is gone is named like a missing file."""
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert main(["replay", str(tmp_path / "link")]) == 2
    assert capsys.readouterr().err.startswith(f"replay: {tmp_path / 'link'}: no such file")


def test_a_log_without_iam_calls_starts_nothing(tmp_path, capsys, no_sandbox):
    """Calls to other services count nowhere, and a log that holds nothing else is no error."""
    log = {"Records": [record(user("bob"), "PutObject", "s3"), {"eventCategory": "Insight", "eventID": "1"}]}
    assert main(["replay", str(written(tmp_path / "log", json.dumps(log)))]) == 0
    assert capsys.readouterr().out == "These files hold no call to IAM.\n"


def test_a_folder_is_read_with_all_below_it(tmp_path):
    """All logs below a folder are found, in the order of their names; other files are left alone."""
    days = ["2026/01/09/b.json.gz", "2026/01/09/a.json", "2026/01/10/c.JSON", "events.jsonl"]
    for name in [*days, "README.md", "2026/notes.txt"]:
        written(tmp_path / name, LOG)
    found = [file for file, in_folder in logs.files(str(tmp_path)) if in_folder]
    assert found == [str(tmp_path / day) for day in ("events.jsonl", days[1], days[0], days[2])]


def test_a_pattern_stands_for_files_and_folders(tmp_path):
    """Replay expands patterns as a shell does, since a command line holds only so many names."""
    for name in ("a.json", "b/c.json"):
        written(tmp_path / name, LOG)
    found = logs.files(str(tmp_path / "*"))
    assert found == [(str(tmp_path / "a.json"), False), (str(tmp_path / "b/c.json"), True)]


def test_digests_in_a_folder_are_skipped_and_damaged_logs_are_not(tmp_path, capsys, no_sandbox):
    """Other JSON in a folder is counted and left out; a file that is cut off ends the replay."""
    written(tmp_path / "CloudTrail-Digest/d.json.gz", gzip.compress(DIGEST.encode()))
    written(tmp_path / "CloudTrail/a.json", json.dumps({"Records": []}))
    assert main(["replay", str(tmp_path)]) == 0
    assert "skipped 1 files without CloudTrail records, such as" in capsys.readouterr().err
    written(tmp_path / "CloudTrail/b.json", LOG[:-20])
    assert main(["replay", str(tmp_path)]) == 2
    assert "b.json is not a CloudTrail log" in capsys.readouterr().err


def test_a_digest_that_is_named_is_refused(tmp_path, capsys, no_sandbox):
    """A file that somebody names has to be a log."""
    assert main(["replay", str(written(tmp_path / "digest.json", DIGEST))]) == 2
    assert "none of its entries is a record" in capsys.readouterr().err


def test_a_log_is_read_from_a_pipe(no_sandbox, capsys):
    """A log may come from another command's output, which can be read only once."""
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(json.dumps(record(user("bob"), "PutObject", "s3")).encode()))
    os.close(writing)
    try:
        assert main(["replay", f"/dev/fd/{reading}"]) == 0
    finally:
        os.close(reading)
    assert capsys.readouterr().out == "These files hold no call to IAM.\n"


def test_a_long_reading_says_how_far_it_is(tmp_path, no_sandbox, monkeypatch, capsys):
    """While files are read, stderr tells of files, records and calls."""
    monkeypatch.setattr(replay, "PROGRESS_SECONDS", 0)
    log = json.dumps({"Records": [record(user("bob"), "PutObject", "s3")]})
    assert main(["replay", str(written(tmp_path / "log", log))]) == 0
    assert "read 1 of 1 files, 1 records, 0 of them calls to IAM" in capsys.readouterr().err
