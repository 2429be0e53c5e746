"""The mails that the system itself writes: what a mail is, the server it is handed to, and the seam between the two.

``transport.send_mail`` is what the rest of the kernel calls, from an ``outside`` job: no transaction is open while a mail
server is talked to. What marketing sends has its own ledger and its own rules; it shares ``smtp`` and no more.
"""
