"""Turns the text of a note into safe HTML: small Markdown, mentions set off, nothing loaded from elsewhere.

Markdown is read without raw HTML, headings and images: a heading would break the page's outline, an image would tell its
server who reads. What comes out is cleaned by nh3 all the same.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator
from functools import cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

_TAGS = {"p", "br", "strong", "em", "s", "code", "pre", "ul", "ol", "li", "blockquote", "a", "hr", "span"}
_SCHEMES = {"http", "https", "mailto", "tel"}


def rendered(text: str, mentioned: Collection[str] = ()) -> str:
    """Return a note's text as HTML that is safe to show as it is.

    Args:
        mentioned: names that the text mentions, as it writes them.
    """
    reader = _reader()
    tokens = reader.parse(text)
    if mentioned:
        sign = re.compile(
            "@(?:" + "|".join(re.escape(n) for n in sorted(mentioned, key=len, reverse=True)) + r")(?!\w)"
        )
        for token in tokens:
            if token.children:
                token.children = [part for child in token.children for part in _parts(child, sign)]
    return nh3.clean(
        reader.renderer.render(tokens, reader.options, {}),
        tags=_TAGS,
        attributes={"a": {"href"}},
        allowed_classes={"span": {"crm-mention"}},
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")
    return reader.disable(["heading", "lheading", "image", "html_block", "html_inline", "reference"])


def _parts(token: Token, sign: re.Pattern[str]) -> Iterator[Token]:
    if token.type != "text":
        yield token
        return
    end = 0
    for found in sign.finditer(token.content):
        yield Token("text", "", 0, content=token.content[end : found.start()])
        yield Token("html_inline", "", 0, content=f'<span class="crm-mention">{html.escape(found.group())}</span>')
        end = found.end()
    yield Token("text", "", 0, content=token.content[end:])
