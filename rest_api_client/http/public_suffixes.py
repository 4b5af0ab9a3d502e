"""Names under which strangers register: no cookie may be meant for all of them.

A server at a.co.uk that sets a cookie for co.uk would have it sent to every company in the country. The complete list
of such names is the Public Suffix List, which has ten thousand entries and changes every week; a library that ships a
copy ships a stale one. Built in is what can be said without it: single labels, the customary second level below a
country code (co.uk, com.au, ac.jp), and platforms that give each customer a name of the same domain. Whoever needs the
whole list hands a function of their own, for instance `publicsuffixlist.PublicSuffixList().is_public`, to `CookieJar`.
"""

from __future__ import annotations

# fmt: off
_CUSTOMARY = frozenset({
    "ac", "co", "com", "ed", "edu", "go", "gob", "gouv", "gov", "govt", "gv", "id", "ltd", "me", "mil", "ne", "net",
    "nhs", "nom", "or", "org", "plc", "police", "sch",
})
_PLATFORMS = frozenset({
    "appspot.com", "azureedge.net", "azurestaticapps.net", "azurewebsites.net", "blogspot.com", "cloudapp.net",
    "cloudfront.net", "deno.dev", "firebaseapp.com", "fly.dev", "github.io", "gitlab.io", "glitch.me", "herokuapp.com",
    "netlify.app", "ngrok-free.app", "ngrok.app", "ngrok.io", "onrender.com", "pages.dev", "readthedocs.io", "repl.co",
    "run.app", "surge.sh", "trycloudflare.com", "vercel.app", "web.app", "workers.dev",
})
# fmt: on
_ALL_BELOW = ("amazonaws.com", "cloudapp.azure.com")
"""Here every level below is shared too: regions, services."""


def is_public_suffix(domain: str) -> bool:
    """Whether strangers register names under this domain (lower case, A-labels), as far as is known without a list."""
    first, dot, rest = domain.partition(".")
    if not dot or domain in _PLATFORMS:
        return True
    if len(rest) == 2 and first in _CUSTOMARY:
        return True
    return any(domain == shared or domain.endswith("." + shared) for shared in _ALL_BELOW)
