"""What happened, and is it normal: health, metrics, and later windows, detectors and seals."""
