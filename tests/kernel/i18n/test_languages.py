"""Which language a reader gets, and that nothing of another library stays behind in English."""

from __future__ import annotations

import time

import pytest

from crm_kernel.customers.problems import said
from crm_kernel.customers.values.emails import normalize_email
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.records.messages import flatten

pytestmark = pytest.mark.crm_databases("sqlite")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("fr-CA", "fr"),
        ("fr-CA,en;q=0.8", "fr"),  # an exact match lower down does not count more
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr"),
        ("en-GB,fr;q=0.5", "en"),
        ("de-DE,fr-FR;q=0.5,en;q=0.3", "fr"),
        ("fr;q=0,en", "en"),
        ("FR-be", "fr"),
        ("de,*;q=0.1", "en"),
        ("", "en"),
        ("français;;q=x", "en"),
    ],
)
def test_a_browser_gets_its_language_or_the_first_of_the_instance(client, asked, given):
    page = client.get("/auth/login", headers={"Accept-Language": asked}).text

    assert f'<html lang="{given}"' in page
    assert ("Mot de passe oublié" in page) is (given == "fr")


def test_the_account_says_more_than_the_browser_and_the_choice_on_the_page_says_most(login):
    browser = login("administrator", language="fr")
    english = {"Accept-Language": "en"}

    by_account = browser.get("/profile", headers=english).text
    browser.post("/language", data={"language": "en"}, headers=english)
    by_choice = browser.get("/profile", headers={"Accept-Language": "fr"}).text

    assert '<html lang="fr"' in by_account
    assert '<html lang="en"' in by_choice


def test_the_language_saved_in_the_profile_ends_the_choice_of_this_session(login):
    browser = login("administrator")
    browser.post("/language", data={"language": "en"})

    saved = browser.post("/profile", data={"name": "Ada", "language": "fr", "timezone": "UTC"})
    page = browser.get("/profile").text

    assert saved.status_code == 302
    assert '<html lang="fr"' in page


def test_what_the_form_of_a_new_password_says_is_french_too(login):
    browser = login("administrator", language="fr")
    with browser.session_transaction() as session:
        session["fs_paa"] = time.time()

    typed = {"password": "wrong horse", "new_password": "violet harbour pencil", "new_password_confirm": "another one"}
    refused = browser.post("/auth/change", data=typed).text

    assert "Les deux nouveaux mots de passe ne sont pas identiques." in refused
    assert "are not the same" not in refused


def test_what_marshmallow_says_of_a_form_is_french_too(login):
    page = login("administrator", language="fr").post("/products/new", data={"name": "", "tax_rate": "200"}).text

    assert "Ce champ est obligatoire." in page
    assert "Doit être compris entre 0 et 100." in page


@pytest.mark.parametrize(
    ("message", "french"),
    [
        ("Not a valid date.", "N’est pas une date valide."),
        ("Longer than maximum length 120.", "Trop long\u00a0: 120 caractères au plus."),
        ("Must be greater than or equal to 0.", "Doit être supérieur ou égal à 0."),
        ("Said by a plugin already: Longer.", "Said by a plugin already: Longer."),
    ],
)
def test_a_message_of_marshmallow_is_known_with_its_values(crm_app, message, french):
    with crm_app.test_request_context(headers={"Accept-Language": "fr"}):
        assert flatten({"name": [message]}) == {"name": [french]}


@pytest.mark.parametrize(
    ("address", "french"),
    [
        ("ada@", "n’est pas une adresse e-mail valide\u00a0: Il manque quelque chose après le signe @."),
        ("a da@x.fr", "L’adresse e-mail contient des caractères non valides avant le signe @: SPACE."),
    ],
)
def test_why_an_e_mail_address_is_wrong_is_told_in_french(crm_app, address, french):
    with pytest.raises(ValueProblem) as refused, crm_app.test_request_context(headers={"Accept-Language": "fr"}):
        normalize_email(address)

    with crm_app.test_request_context(headers={"Accept-Language": "fr"}):
        assert said(refused.value).endswith(french)


def test_whoever_is_not_logged_in_is_told_so_in_french(client):
    page = client.post("/customers/new", headers={"Accept-Language": "fr"}).text

    assert "Non authentifié" in page
    assert "Connectez-vous" in page


@pytest.mark.parametrize(
    ("method", "path", "title", "detail"),
    [
        ("GET", "/api/nothing", "Introuvable", "Il n’y a rien à cette adresse"),
        ("GET", "/api/customers/01890a5d-ac96-774b-bcce-b302099a8057", "Introuvable", "ne porte l’identifiant"),
        ("PUT", "/api/customers", "Méthode non permise", "n’accepte pas cette méthode"),
        ("POST", "/api/customers", "Saisie non valide", "kind: "),
    ],
)
def test_a_problem_document_speaks_one_language(api, method, path, title, detail):
    answer = api("administrator", language="fr").open(method, path, headers={"Accept-Language": "fr"}, json={})

    assert answer.json["title"] == title
    assert detail in answer.json["detail"]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_problem_document_is_in_english_for_whoever_reads_english(api, method):
    answer = api("administrator").open(method, "/api/nothing")

    assert (answer.json["title"], answer.json["detail"][:16]) == ("Not found", "There is nothing")
