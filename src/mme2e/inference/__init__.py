"""From any video to emotions."""
