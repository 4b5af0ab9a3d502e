"""Tests of the rules of good behaviour."""
