"""Exchanges as their documentation describes them, served on 127.0.0.1; one small module each, `base` shared by all.

No answer here was captured from an exchange: each module names the pages from which its shapes, errors and limits are
written.
"""
