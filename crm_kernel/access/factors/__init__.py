"""Second factors: codes of an authenticator app, recovery codes for when it is lost, passkeys.

Written on the libraries themselves (``cryptography``, ``webauthn``) and not on Flask-Security's views, which look at a
password and at a code inside one transaction and keep no count of codes tried in the database.
"""
