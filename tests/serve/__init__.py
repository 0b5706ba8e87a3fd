"""The speech server as its clients meet it: real HTTP, real WebSockets, a voice whose words can be counted."""
