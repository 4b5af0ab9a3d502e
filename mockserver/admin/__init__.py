"""The admin API: a server's stubs, faults and journal over HTTP, for whoever is not in its process.

It has a listener, a thread and a loop of its own, so that no fault, stall or flood on the server's port can block it.

guard     who may ask: token, Host, Origin
reading   a request's JSON, strictly
routes    what can be asked
admin     Admin: the listener, and the token
"""

from mockserver.admin.admin import Admin, AdminSettings

__all__ = ["Admin", "AdminSettings"]
