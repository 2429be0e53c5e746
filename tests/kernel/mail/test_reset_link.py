"""Where no mail is sent, an administrator prints the link for a new password; that he did stands in the history."""

from __future__ import annotations


def test_a_command_prints_a_link_for_a_new_password_and_the_history_says_so(cli, login, client, unit):
    user = login("representative").user

    done = cli("users", "reset-link", user.email)

    path = "/auth/reset/" + done.stdout.strip().rpartition("/auth/reset/")[2]
    assert client.get(path).status_code == 200
    admin = login("administrator")
    assert "Link for a new password made" in admin.get(f"/audit?record_type=user&record={user.uid}").text
