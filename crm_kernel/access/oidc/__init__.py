"""Log-in at another system's identity provider: OpenID Connect, authorization code with PKCE.

``models`` and ``record`` are the providers an administrator connects; ``metadata``, ``tokens`` and ``network`` talk to one
with no transaction open; ``people`` finds or makes the user; ``pages`` join them. Whom a provider vouches for is known by
(issuer, subject), never by an e-mail address alone.
"""
