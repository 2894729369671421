"""The site of the documentation: Sphinx's configuration, templates and own files, for scripts/guide.sh."""
