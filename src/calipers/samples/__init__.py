"""Sample frames with known metres, written as folders of frames."""
