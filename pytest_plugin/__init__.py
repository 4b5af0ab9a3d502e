"""Rehearsals in a test suite: a plugin of pytest, found by its entry point `rest_api_client`.

Importing this package, or the plugin, loads nothing but pytest: what a fixture needs is imported inside the fixture.

plugin     what pytest calls
during     what it calls for each test, where there are tests to watch
options    the command line's options and the ini file's
markers    what marks on a test say
fixtures   servers, clients, cassettes, clocks
watch      what one test saw: events of its clients, journals of its servers
timeline   that, drawn against time: text and one self-contained page
report     the sections of a failed test, and the page of all of them
summary    what is told at the end of a run
"""
