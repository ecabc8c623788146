"""Load once, call many times: the functions behind the commands."""
