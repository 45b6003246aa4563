"""The documentation page: the OpenAPI document as one page of HTML, without scripts and without other hosts.

Each problem has its code as anchor, which is where the `type` of a problem points; each operation has its
operationId, each schema its name after `schema-`.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any, Final

Json = Mapping[str, Any]

STYLE: Final = files("flashsale.api").joinpath("docs.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The policy to serve the page with: its one style sheet, and nothing else at all."""

_LINE_CHARACTERS: Final = 80
_MAX_VALUES: Final = 6
"""Values of an enumeration that are shown."""
_PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


def render(document: Json) -> str:
    """The page of an OpenAPI 3.1 document that refers only to its own components."""
    return "".join(_Page(document).parts())


class _Page:
    """The parts of the page of one document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Json = document["components"]["schemas"]
        self._operations: dict[str, list[tuple[str, str, Json]]] = {}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                for tag in operation["tags"]:
                    self._operations.setdefault(tag, []).append((path, method, operation))
        self._problems = {
            schema["examples"][0]["code"]: schema
            for name, schema in self._schemas.items()
            if name.startswith("Problem") and name != "Problem"
        }

    def parts(self) -> Iterator[str]:
        info = self._document["info"]
        yield (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>"
        )
        yield from self._navigation()
        yield f"<main><h1>{escape(info['title'])} API</h1>"
        yield f'<p class="soft">Version {escape(info["version"])}'
        yield ' · <a href="/openapi.json">openapi.json</a></p>'
        yield _paragraphs(info["description"])
        yield from self._authentication()
        for tag in self._document["tags"]:
            yield f'<h2 id="{_anchor(tag["name"])}">{escape(tag["name"])}</h2>'
            yield _paragraphs(tag["description"])
            for path, method, operation in self._operations.get(tag["name"], ()):
                yield from self._operation(path, method, operation)
        yield from self._problem_list()
        yield from self._schema_list()
        yield "</main></body></html>\n"

    def _navigation(self) -> Iterator[str]:
        yield "<nav><details open><summary>Contents</summary>"
        for tag in self._document["tags"]:
            yield f"<h2>{escape(tag['name'])}</h2>"
            operations = self._operations.get(tag["name"], ())
            yield _links((operation["operationId"], operation["summary"]) for _, _, operation in operations)
        yield "<h2>Reference</h2>"
        reference = [("authentication", "Authentication"), ("problems", "Problems"), ("schemas", "Schemas")]
        yield _links(reference)
        yield "</details></nav>"

    def _authentication(self) -> Iterator[str]:
        yield '<h2 id="authentication">Authentication</h2>'
        yield "<p>As a bearer token in the header <code>Authorization</code>:</p>"
        rows = [
            [escape(_scheme_name(name)), _text(scheme["description"])]
            for name, scheme in self._document["components"]["securitySchemes"].items()
        ]
        yield _table(["", ""], rows)

    def _operation(self, path: str, method: str, operation: Json) -> Iterator[str]:
        yield f'<article id="{escape(operation["operationId"])}"><h3>{escape(operation["summary"])}</h3>'
        yield f'<p class="call"><code><span class="method {method}">{method}</span>{escape(path)}</code></p>'
        yield _paragraphs(operation["description"])
        yield f'<p class="soft">Who may call: {_who(operation["security"])}</p>'
        parameters = [self._resolve(parameter) for parameter in operation.get("parameters", ())]
        if parameters:
            yield "<h4>Parameters</h4>"
            yield _table(["name", "in", "meaning"], [_parameter_row(parameter) for parameter in parameters])
        body = operation.get("requestBody")
        if body is not None:
            schema = body["content"]["application/json"]["schema"]
            yield f"<h4>Body: {self._type(schema)}</h4>"
            yield self._fields(self._resolve(schema))
        yield "<h4>Call</h4>"
        yield f"<pre>{escape(_curl(path, method, operation, parameters))}</pre>"
        yield "<h4>Answers</h4>"
        yield _table(["status", "body", "meaning"], list(self._answer_rows(operation)))
        yield from self._example_answer(operation)
        yield "</article>"

    def _answer_rows(self, operation: Json) -> Iterator[list[str]]:
        for status, given in operation["responses"].items():
            response = self._resolve(given)
            content = response.get("content", {})
            problem = content.get(_PROBLEM_MEDIA_TYPE)
            if problem is not None:
                links = ", ".join(
                    f'<a href="#{escape(code)}"><code>{escape(code)}</code></a>'
                    for code in problem["examples"]
                )
                yield [escape(status), '<a href="#problems">Problem</a>', links]
                continue
            body = ", ".join(
                self._type(media["schema"]) if "$ref" in media["schema"] else escape(media_type)
                for media_type, media in content.items()
            )
            yield [escape(status), body or "none", _text(response["description"])]

    def _example_answer(self, operation: Json) -> Iterator[str]:
        """The example of the first good answer that has one."""
        for status, given in operation["responses"].items():
            for media in self._resolve(given).get("content", {}).values():
                if "example" in media:
                    yield f"<details><summary>Example of {escape(status)}</summary>"
                    yield f"{_json(media['example'])}</details>"
                    return

    def _problem_list(self) -> Iterator[str]:
        yield '<h2 id="problems">Problems</h2>'
        members = ", ".join(f"<code>{escape(name)}</code>" for name in self._schemas["Problem"]["required"])
        yield f"<p>Every refusal is <code>{_PROBLEM_MEDIA_TYPE}</code> with {members}, and what the kind of "
        yield "problem adds. Programs go by the <code>code</code>.</p>"
        for code, schema in self._problems.items():
            example = schema["examples"][0]
            yield f'<article id="{escape(code)}"><h3><code>{escape(code)}</code></h3>'
            yield f'<p class="soft">{example["status"]} · {escape(example["title"])}</p>'
            yield f"{_paragraphs(schema['description'])}{_json(example)}</article>"

    def _schema_list(self) -> Iterator[str]:
        yield '<h2 id="schemas">Schemas</h2>'
        for name, schema in self._schemas.items():
            if schema in self._problems.values():
                continue
            yield f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
            yield _paragraphs(schema.get("description", ""))
            if schema.get("type") == "object":
                yield self._fields(schema)
            else:
                yield f"<p>{self._type(schema)}</p>"
            yield "</article>"

    def _fields(self, schema: Json) -> str:
        """The table of the fields of an object."""
        return _table(["field", "type", "meaning"], list(self._field_rows(schema)), style="fields")

    def _field_rows(self, schema: Json) -> Iterator[list[str]]:
        required = schema.get("required", ())
        for name, field in schema.get("properties", {}).items():
            said = _text(field.get("description", ""))
            if name not in required:
                default = field.get("default")
                said += ' <span class="soft">Optional'
                said += (
                    f"; {escape(json.dumps(default))} when left out.</span>"
                    if default is not None
                    else ".</span>"
                )
            yield [f"<code>{escape(name)}</code>", self._type(field), said]

    def _type(self, schema: Json) -> str:
        """What a value may be, in a few words of HTML."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
        if "anyOf" in schema:
            return " or ".join(self._type(one) for one in schema["anyOf"])
        if "const" in schema:
            return f"<code>{escape(json.dumps(schema['const']))}</code>"
        if "enum" in schema:
            shown = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"][:_MAX_VALUES])
            return (
                shown
                if len(schema["enum"]) <= _MAX_VALUES
                else f"{shown} and {len(schema['enum']) - _MAX_VALUES} more"
            )
        kind = schema.get("type", "any")
        if kind == "array":
            return f"list of {self._type(schema['items'])}{_bounds(schema, 'minItems', 'maxItems')}"
        name = schema.get("format") or (" or ".join(kind) if isinstance(kind, list) else kind)
        bounds = _bounds(schema, "minimum", "maximum") + _bounds(
            schema, "minLength", "maxLength", " characters"
        )
        pattern = f" <code>{escape(schema['pattern'])}</code>" if "pattern" in schema else ""
        return f"{escape(name)}{bounds}{pattern}"

    def _resolve(self, value: Json) -> Json:
        """What a reference refers to; anything else is itself."""
        if "$ref" not in value:
            return value
        found: Any = self._document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)


def _links(links: Iterable[tuple[str, str]]) -> str:
    items = (f'<li><a href="#{escape(to)}">{escape(text)}</a></li>' for to, text in links)
    return f"<ul>{''.join(items)}</ul>"


def _anchor(name: str) -> str:
    return escape(name.lower().replace(" ", "-"))


def _scheme_name(name: str) -> str:
    return {"apiKey": "API key", "shopperToken": "Shopper's token"}.get(name, name)


def _who(security: list[Json]) -> str:
    """Who may call, in words: the alternatives of an operation's security."""
    alternatives = []
    for alternative in security:
        for scheme, scopes in alternative.items():
            said = f'<a href="#authentication">{escape(_scheme_name(scheme))}</a>'
            if scopes:
                said += f" with the scope {', '.join(f'<code>{escape(scope)}</code>' for scope in scopes)}"
            alternatives.append(said)
    return " or ".join(alternatives) or "anyone"


def _parameter_row(parameter: Json) -> list[str]:
    said = _text(parameter["description"])
    if not parameter["required"]:
        said += ' <span class="soft">Optional.</span>'
    return [f"<code>{escape(parameter['name'])}</code>", escape(parameter["in"]), said]


def _curl(path: str, method: str, operation: Json, parameters: list[Json]) -> str:
    """A command line that does the call; `$URL`, `$KEY` and `$TOKEN` are the reader's."""
    lines = [f'curl "$URL{path}"']
    for parameter in parameters:
        if parameter["in"] == "path":
            lines[0] = lines[0].replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    if method not in ("get", "post") or (method == "post" and "requestBody" not in operation):
        lines[0] = lines[0].replace("curl ", f"curl -X {method.upper()} ", 1)
    for scheme in operation["security"][:1]:
        variable = "$KEY" if "apiKey" in scheme else "$TOKEN"
        lines.append(f'-H "Authorization: Bearer {variable}"')
    lines += [
        f"-H '{parameter['name']}: {parameter['example']}'"
        for parameter in parameters
        if parameter["in"] == "header"
    ]
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        lines.append("-H 'Content-Type: application/json'")
        short = json.dumps(example)
        lines.append(f"-d '{short if len(short) <= _LINE_CHARACTERS else json.dumps(example, indent=2)}'")
    return " \\\n  ".join(lines)


def _bounds(schema: Json, low: str, high: str, unit: str = "") -> str:
    least, most = schema.get(low), schema.get(high)
    if least is None and most is None:
        return ""
    if most is None:
        return f", at least {least:,}{unit}"
    if least is None:
        return f", at most {most:,}{unit}"
    return f", {least:,} to {most:,}{unit}"


def _table(heads: list[str], rows: list[list[str]], *, style: str = "plain") -> str:
    """A table of HTML cells; heads that are all empty are left out."""
    head = f"<thead><tr>{''.join(f'<th>{name}</th>' for name in heads)}</tr></thead>" if any(heads) else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="{style}"><table>{head}<tbody>{body}</tbody></table></div>'


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(paragraph)}</p>" for paragraph in text.strip().split("\n\n") if paragraph)


def _text(text: str) -> str:
    """Text with `code` and *emphasis*."""
    html = []
    for number, part in enumerate(escape(text.strip()).split("`")):
        if number % 2:
            html.append(f"<code>{part}</code>")
            continue
        pieces = part.split("*")
        html.append("".join(f"<em>{piece}</em>" if at % 2 else piece for at, piece in enumerate(pieces)))
    return "".join(html)
