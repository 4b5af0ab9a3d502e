"""Mutation tests: the policies that matter most are changed in a thousand small ways, and the tests have to notice.

`make mutate` runs them all and writes docs/mutation.md. `groups` says what is changed and which tests have to notice,
`accepted` which changes nobody has to notice, and why. `run` works in a copy of the tree, with mutmut; `page` writes.
"""
