"""A web page in one file: text, tables and charts, with no network and little script."""
