"""The side-by-side times as an SVG image: a bar per function, a group of bars per measurement."""

from html import escape

from bench.burst import CALLS, ENVIRONMENTS

WIDTH, LABELS, RIGHT = 820, 250, 70
BAR, GAP, TITLE, BETWEEN = 18, 6, 30, 22
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
#: Colours for light pages, and for dark ones. Ours, the others, text, lines.
LIGHT = {"ours": "#1668c4", "other": "#9aa4b1", "text": "#1f2328", "soft": "#59636e"}
DARK = {"ours": "#58a6ff", "other": "#6e7781", "text": "#e6edf3", "soft": "#9198a1"}


def draw(results):
    """The chart of all parts that have been measured.

    :returns: the text of an SVG file, which follows the reader's light or dark mode; empty without such a part
    """
    shown, body, top = list(groups(results)), [], 8
    if not shown:
        return ""
    for title, bars in shown:
        body.append(text(0, top + 16, title, "title"))
        top += TITLE
        longest = max(value for _, value in bars)
        for who, value in bars:
            body += bar(top, who, value, value / longest)
            top += BAR + GAP
        top += BETWEEN
    description = "; ".join(
        f"{title}: " + ", ".join(f"{who} {number(value)} ms" for who, value in bars) for title, bars in shown
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
        'role="img" aria-labelledby="title description">'
    )
    return "\n".join(
        [
            head,
            '<title id="title">Milliseconds, side by side. Shorter is faster.</title>',
            f'<desc id="description">{escape(description)}</desc>',
            f"<style>{style()}</style>",
            *body,
            "</svg>\n",
        ]
    )


def groups(results):
    """What is drawn: titles, each with its bars (function, milliseconds)."""
    starts, events, burst = (results.get(name, {}).get("data") for name in ("starts", "events", "burst"))
    if starts:
        yield "Cold start, until the denial (ms)", column(starts["plain"], "denial")
    if events:
        yield "Warm, until the denial (ms)", column(events["plain"], "denial p50")
        yield "Warm, with latency as to IAM, until the denial (ms)", column(events["latency"], "denial p50")
        yield "Warm, somebody who may use IAM (ms)", column(events["plain"], "admin p50")
    for limit in ENVIRONMENTS if burst else ():
        rows = {row["function"]: row for row in burst if row["environments"] == limit}
        environments = f"{limit} environment{'s' if limit > 1 else ''} at most"
        yield f"Burst of {CALLS} calls, {environments}, until the denial (ms)", column(rows, "denial")


def column(rows, key):
    return [(who, row[key]) for who, row in rows.items()]


def bar(top, who, value, share):
    """A function's name, its bar, and its value."""
    length = max(2, round(share * (WIDTH - LABELS - RIGHT), 1))
    kind = "ours" if who.startswith("ours") else "other"
    baseline = top + BAR - 4.5
    return [
        text(LABELS - 10, baseline, who, "name"),
        f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{length}" height="{BAR}" rx="2"/>',
        text(LABELS + length + 6, baseline, number(value), "value"),
    ]


def text(x, y, words, kind):
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def style():
    """The style sheet, for light and dark pages. The background is the page's own."""
    shapes = (
        f"text {{ font: 13px {FONT}; }} .title {{ font-weight: 600; }} .name {{ text-anchor: end; }} "
        ".value { font-variant-numeric: tabular-nums; } "
    )
    return f"{shapes}{colours(LIGHT)} @media (prefers-color-scheme: dark) {{ {colours(DARK)} }}"


def colours(of):
    return (
        f".title, .value {{ fill: {of['text']}; }} .name {{ fill: {of['soft']}; }} "
        f".ours {{ fill: {of['ours']}; }} .other {{ fill: {of['other']}; }}"
    )
