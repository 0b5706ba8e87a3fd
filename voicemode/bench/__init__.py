"""What `voicemode bench` makes of what it measured: figures, tables, pictures, comparisons. Measures nothing itself."""
