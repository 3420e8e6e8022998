"""The detectors by theme: each a pure function from what was seen and what is normal to a finding, or nothing."""
