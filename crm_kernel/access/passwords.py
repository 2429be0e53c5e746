"""Passwords: the policy (length, not the e-mail, not a common one) and argon2id hashes.

Length is the rule that works; composition rules only make people write passwords down. Hashing is Flask-Security's, so
that it and the services can read each other's hashes.
"""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from flask import current_app
from flask_babel import gettext as _

#: Characters a password needs at least and may have at most (longer ones only cost time to hash).
MIN_LENGTH, MAX_LENGTH = 12, 256

#: What people choose when they are told "twelve characters"; compared without case, digits and signs at the end.
_COMMON = frozenset(
    """
    password passwordpassword passw0rdpassw0rd mypassword mypasswordis thepassword motdepasse motdepassemotdepasse
    adminadmin administrator administrateur adminpassword rootpassword changeme changemenow changemeplease
    changezmoi letmein letmeinplease laissemoientrer welcome welcomewelcome bienvenue qwerty qwertyqwerty qwertyuiop
    qwertyuiopasdfgh qwertyasdfgh asdfghjkl asdfghjklzxcvbnm azerty azertyazerty azertyuiop azertyuiopqsdfgh
    qwertzuiop iloveyou iloveyouforever jetaime superman superstar sunshine sunshinesunshine football basketball
    footballfootball princess princessprincess dragondragon monkeymonkey trustnoone master masterpassword
    correcthorsebatterystaple abcdefghijkl abcdefghijklm abcdefghijklmnop abcabcabcabc testtest testtesttest
    testpassword temporary temporarypassword secretsecret topsecret supersecret secretpassword default
    defaultpassword company companypassword salesforce crmcrmcrmcrm customer internet computer startrek starwars
    whatever michaeljordan manchesterunited liverpoolfc juventus realmadrid barcelona marseille parissaintgermain
    """.split()  # noqa: SIM905 - a table of words is easier to read and to add to
)
_RUNS = (
    "0123456789012345678901234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
)


def normalized(password: str) -> str:
    """Return a password in one Unicode form: the same keys on two keyboards give the same password."""
    return unicodedata.normalize("NFKD", password)


def password_problems(password: str, *, email: str) -> list[str]:
    """Return why a password is refused, as translated sentences; empty when it is good."""
    text = normalized(password)
    if len(text) < MIN_LENGTH:
        return [
            _(
                "A password needs at least %(least)s characters; this one has %(found)s.",
                least=MIN_LENGTH,
                found=len(text),
            )
        ]
    if len(text) > MAX_LENGTH:
        return [_("A password may have at most %(most)s characters.", most=MAX_LENGTH)]
    if email and text.lower() in (email.lower(), email.partition("@")[0].lower()):
        return [_("The password must not be the e-mail address.")]
    if _is_common(text):
        return [_("This password is among the first that attackers try: choose several unrelated words.")]
    return []


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password; takes some 50 ms on purpose."""
    security = current_app.extensions.get("security")
    text = normalized(password)
    return str(security.pwd_context.hash(text)) if security else PasswordHasher().hash(text)


def _is_common(text: str) -> bool:
    folded = text.lower()
    core = folded.rstrip("0123456789!@#$%^&*()-_=+.,?;: ")
    repeated = any(len(folded) % n == 0 and folded == folded[:n] * (len(folded) // n) for n in (1, 2, 3, 4, 6))
    run = any(folded in forms for line in _RUNS for forms in (line, line[::-1]))
    return (not core.strip() and len(set(folded)) < 8) or core in _COMMON or folded in _COMMON or repeated or run
