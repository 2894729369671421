"""The models of the clients, made from the schemas of /openapi.json: Python structs, and interfaces in TypeScript.

`.venv/bin/python -m scripts.client_models` writes them; a test fails while they are not current.
"""
