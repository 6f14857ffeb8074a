"""The logs that a replay reads: files, folders, patterns and archives, in every shape that they come in."""

import gzip
import io
import json
import os
import tarfile
import tracemalloc
import zipfile

import pytest
from helpers import ROOT
from records import lines, record, user, written

from sandbox.__main__ import main
from sandbox.cloudtrail import records
from sandbox.commands import logs, replay
from sandbox.commands.rows import Row

BOB = record(user("bob"))
BOTH = [BOB, record(user("bob"), "ListUsers")]
ENVELOPES = [records.envelope(r) for r in BOTH]
LOG = json.dumps({"Records": [BOTH[0], record(user("bob"), "PutObject", "s3"), BOTH[1]]})
TEXTS = [json.dumps(r) for r in BOTH]
LOOKED_UP = [{"EventName": r["eventName"], "CloudTrailEvent": json.dumps(r)} for r in BOTH]
MESSAGES = [{"MessageId": "1", "Body": json.dumps(e)} for e in ENVELOPES]
ROW = {"preview": False, "offset": 0}


def zipped(**members):
    """A zip file, and a file in it that is no log."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"README.md": "no log", **members}.items():
            archive.writestr(name.replace("_", "."), content)
    return data.getvalue()


def tarred(**members):
    """A tar file with gzip, and a file in it that is no log."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in {"README.md": b"no log", **members}.items():
            member = tarfile.TarInfo(f"logs/{name.replace('_', '.')}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


FORMATS = {
    "log-file": LOG,
    "byte-order-mark": "\ufeff" + LOG,
    "utf-16-of-powershell": LOG.encode("utf-16"),
    "gzip": gzip.compress(LOG.encode()),
    "zip": zipped(a_json=TEXTS[0], b_json_gz=gzip.compress(TEXTS[1].encode())),
    "tar-gz": tarred(a_json=TEXTS[0].encode(), b_json_gz=gzip.compress(TEXTS[1].encode())),
    "records-by-line": lines(BOTH),
    "indented-one-after-the-other": "\n".join(json.dumps(r, indent=2) for r in BOTH),
    "record-and-envelope": lines([BOTH[0], ENVELOPES[1]]),
    "list-of-envelopes": json.dumps(ENVELOPES),
    "list-of-records-and-others": json.dumps([None, "text", *BOTH, 5]),
    "lookup-events": json.dumps({"Events": LOOKED_UP}, indent=4),
    "lookup-events-cut-by-query": json.dumps(TEXTS),
    "lookup-events-as-text": "EVENTS\tAKIA\t"
    + "\t1\tCreateUser\tiam.amazonaws.com\nEVENTS\t".join(TEXTS)
    + "\t2",
    "filter-log-events": json.dumps({"events": [{"timestamp": 1, "message": t} for t in TEXTS]}),
    "export-of-cloudwatch-logs": "".join(f"2026-11-20T09:01:00.000Z {text}\n" for text in TEXTS),
    "sqs-messages": json.dumps({"Messages": MESSAGES}),
    "sns-in-sqs": json.dumps({"Messages": [{"Body": json.dumps({"Message": m["Body"]})} for m in MESSAGES]}),
    "lake": json.dumps({"QueryResultRows": [[{"eventjson": text}] for text in TEXTS]}),
    "splunk": lines({**ROW, "result": {"_raw": text, "source": "iam.amazonaws.com"}} for text in TEXTS),
    "elastic": lines({"_source": {"event": {"original": text, "provider": logs.IAM}}} for text in TEXTS),
}
NO_CALLS = {
    "other-services": json.dumps({"Records": [record(user("bob"), "PutObject", "s3")]}),
    "a-policy-that-names-iam": json.dumps(
        record(user("bob"), "PutKeyPolicy", "kms")
        | {"requestParameters": {"policy": json.dumps({"Principal": {"Service": logs.IAM}})}}
    ),
    "insight": json.dumps(
        {"insightDetails": {"eventSource": logs.IAM, "eventName": "GetUser", "insightType": "ApiCallRate"}}
    ),
    "no-records": '{"Records": []}',
}  # fmt: skip
NOTIFICATION = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
DIGEST = json.dumps({"awsAccountId": "1", "digestS3Bucket": "trail", "logFiles": []})
LAKE_COLUMNS = {"QueryResultRows": [[{"eventSource": logs.IAM}, {"eventName": "CreateUser"}]]}
BAD = {
    "empty": ("", "empty"),
    "text": ("2026-01-05 CreateUser by bob\n", "not JSON"),
    "binary": (bytes(range(256)), "not text"),
    "cut-off-gzip": (FORMATS["gzip"][:-20], "cut off"),
    "cut-off-zip": (FORMATS["zip"][:-30], "cut off"),
    "cut-off-json": (LOG[:-20], "a call to IAM, from line 1 on, cannot be read whole"),
    "cut-off-behind-the-calls": (LOG[: LOG.index("PutObject")], "cut off"),
    "cut-off-lines": (lines(BOTH)[:-20], "from line 2 on"),
    "columns-of-lake": (json.dumps(LAKE_COLUMNS), "a query or an export the whole event"),
    "lookup-events-without-records": ('[{"EventSource": "iam.amazonaws.com"}]', "have lookup-events print"),
    "another-object": ('{"hello": "world"}', "no whole record"),
    "notification-of-s3": (json.dumps({"Records": [NOTIFICATION]}), "no whole record"),
    "nested-too-deep": ("[" * 100_000, "not JSON"),
}


def records_in(path):
    return [logs.record_of(entry) for _, entry in logs.read(path)]


@pytest.mark.parametrize("chunk", [logs.CHUNK, 7])
@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_calls_are_found_in_a_file_of_any_shape(tmp_path, monkeypatch, content, chunk):
    """Whatever wraps the records, and however little is read at once: the calls are found, in their order."""
    monkeypatch.setattr(logs, "CHUNK", chunk)
    monkeypatch.setattr(logs, "LONGEST", max(chunk, 2500))
    assert records_in(written(tmp_path / "log", content)) == BOTH


def test_an_event_keeps_its_envelope(tmp_path):
    """EventBridge's events are found with what they say beside the record, also as text within messages."""
    assert [e for _, e in logs.read(written(tmp_path / "log", FORMATS["sqs-messages"]))] == ENVELOPES


@pytest.mark.parametrize("content", NO_CALLS.values(), ids=NO_CALLS)
def test_a_log_without_calls_to_iam_is_a_log(tmp_path, content):
    """What names IAM without calling it is no call, and a log may be empty."""
    assert records_in(written(tmp_path / "log", content)) == []


def test_the_size_of_a_log_does_not_matter_for_the_memory(tmp_path):
    """A log of many megabytes is read record by record, zipped or not."""
    entry = json.dumps({**BOB, "requestParameters": {"filler": "x" * 50_000}})
    with gzip.open(tmp_path / "log", "wt", compresslevel=1) as log:
        log.write('{"Records": [' + f"{entry},\n" * 600 + entry + "]}")
    tracemalloc.start()
    try:
        assert sum(1 for _ in logs.read(tmp_path / "log")) == 601
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.fixture
def no_sandbox(monkeypatch):
    """Starting a sandbox is an error."""
    monkeypatch.setattr(replay, "Sandbox", None)


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_log_is_named_and_all_others_count(tmp_path, monkeypatch, capsys, content, reason):
    """A bad file beside a good one gets one line at the end that names it and says why, and exit status 1."""
    monkeypatch.setattr(
        replay, "replay", lambda accounts, *_: [Row(one.id, "-", "-", one.calls) for one in accounts]
    )
    bad, good = written(tmp_path / "bad", content), written(tmp_path / "good", lines(BOTH))
    assert main(["replay", "--json", str(bad), str(good)]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["calls"] >= 2
    assert err.startswith(f"replay: {bad}")
    assert err.count("\n") == 1
    assert reason in err


def test_a_bad_file_alone_is_no_log_without_calls(tmp_path, capsys, no_sandbox):
    """If nothing could be read, such as a link whose target is gone, nothing is said of what the files hold."""
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert main(["replay", str(tmp_path / "link")]) == 1
    assert capsys.readouterr() == ("", f"replay: {tmp_path / 'link'}: no such file or directory\n")


def test_a_bad_file_in_an_archive_is_named_and_its_others_count(tmp_path):
    """Each file of an archive is read by itself."""
    content = zipped(a_json="hello", b_json=json.dumps(BOB), c_json=DIGEST)
    problem, call, other = logs.read(written(tmp_path / "logs.zip", content))
    assert (problem[0], str(problem[1])) == (f"{tmp_path}/logs.zip:a.json", "it is not JSON")
    assert call[1] == BOB
    assert isinstance(other[1], logs.OtherJSON)


def test_paths_that_cannot_be_read_are_named_each(tmp_path, capsys, no_sandbox):
    """A missing file, a pattern that nothing matches, and a folder without logs get a line each."""
    folder = tmp_path / "empty"
    written(folder / "README.md", "no log")
    paths = [tmp_path / "missing", tmp_path / "*.json", folder]
    assert main(["replay", "--json", *map(str, paths)]) == 2
    missing, pattern, empty = capsys.readouterr().err.splitlines()
    assert missing.startswith(
        f"replay: {paths[0]}: no such file; copy the logs of your trail with `aws s3 sync"
    )
    assert pattern.startswith(f"replay: {paths[1]}: no such file")
    assert "aws cloudtrail lookup-events" in empty
    assert empty.startswith(f"replay: {folder}: the folder holds no log (*.json, ")


def test_a_bucket_is_copied_first(capsys, no_sandbox):
    """An address of S3 gets the command that copies it: nothing here calls AWS."""
    assert main(["replay", "s3://trail/AWSLogs"]) == 2
    assert "`aws s3 sync s3://trail/AWSLogs logs`" in capsys.readouterr().err


def test_the_commands_that_get_logs_stand_in_the_docs():
    """People find the same two commands in the docs and in the sentence that they get."""
    page = (ROOT / "docs" / "replay.md").read_text()
    assert f"```sh\n{logs.SYNC}\n{logs.LOOKUP}\n```" in page


def test_a_folder_is_read_with_all_below_it(tmp_path):
    """All logs below a folder are found, in the order of their names; other files are left alone."""
    days = ["2026/01/09/b.json.gz", "2026/01/09/a.json", "2026/01/10/c.JSON", "events.jsonl"]
    for name in [*days, "README.md", "2026/notes.txt"]:
        written(tmp_path / name, LOG)
    found = [file for file, in_folder in logs.files(str(tmp_path)) if in_folder]
    assert found == [str(tmp_path / day) for day in ("events.jsonl", days[1], days[0], days[2])]


def test_a_pattern_stands_for_files_and_folders(tmp_path):
    """Replay expands patterns as a shell does, since a command line holds only so many names."""
    a, b = (written(tmp_path / name, LOG) for name in ("a.json", "b/c.json"))
    assert logs.files(str(tmp_path / "*")) == [(str(a), False), (str(b), True)]


def test_digests_in_a_folder_are_skipped_and_damaged_logs_are_not(tmp_path, capsys, no_sandbox):
    """Other JSON in a folder is left out, and refused if it is named; a file that is cut off is named."""
    written(tmp_path / "CloudTrail-Digest/d.json.gz", gzip.compress(DIGEST.encode()))
    written(tmp_path / "CloudTrail/a.json", json.dumps({"Records": []}))
    assert main(["replay", str(tmp_path)]) == 0
    assert "skipped 1 files without CloudTrail records, such as" in capsys.readouterr().err
    written(tmp_path / "CloudTrail/b.json", LOG[: LOG.index("iam.amazonaws")])
    assert main(["replay", str(tmp_path)]) == 1
    assert "b.json: it is cut off" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "CloudTrail-Digest/d.json.gz")]) == 1
    assert "holds no whole record" in capsys.readouterr().err


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
