"""Refusals say what was found and what may have been meant: of ordinary input, never of secrets, in bounded work."""

from __future__ import annotations

from crm_kernel.records.messages import MAX_SUGGESTED, with_found

KNOWN = {"name": 1, "amount": 1}


def test_values_are_quoted_and_near_names_suggested(crm_app):
    errors = {"amount": ["Not a number."], "nmae": ["Unknown field."], "parts.1.value": ["Too long."]}

    with crm_app.test_request_context():
        found = with_found(errors, {"amount": "x", "nmae": "y", "parts": [{}, {"value": "z"}]}, KNOWN)

    assert found == {
        "amount": ["found 'x': Not a number."],
        "nmae": ["Unknown field. Did you mean name?"],
        "parts.1.value": ["found 'z': Too long."],
    }


def test_only_the_first_unknown_names_are_compared_with_the_known_ones(crm_app):
    given = {f"name{number}": 1 for number in range(100)}

    with crm_app.test_request_context():
        found = with_found({name: ["Unknown field."] for name in given}, given, KNOWN)

    assert sum("Did you mean" in texts[0] for texts in found.values()) == MAX_SUGGESTED


def test_a_password_is_not_quoted(api):
    admin = api("administrator")
    user = admin.get("/api/users").json["items"][0]["id"]

    answer = admin.post(f"/api/users/{user}/set_password", {"password": 12345678}, If_Match="*")

    assert answer.status_code in (412, 422)
    refused = admin.post(
        f"/api/users/{user}/set_password", {"password": 12345678}, If_Match=admin.etag(f"/api/users/{user}")
    )
    assert refused.status_code == 422
    assert "12345678" not in refused.text


def test_an_extension_that_is_no_object_is_named_itself(api, factories):
    answer = api("administrator").post(
        "/api/customers", {"kind": "organization", "display_name": "Acme", "extensions": {"toybank": 5}}
    )

    assert answer.status_code == 422
    assert not [path for path in answer.json["errors"] if path.endswith("_schema")]
