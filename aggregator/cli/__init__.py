"""The subcommands of the command line besides `serve`: one module or package a subcommand."""
