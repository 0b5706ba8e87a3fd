"""Parts of the application, put together from a configuration; `app` opens and closes the whole."""
