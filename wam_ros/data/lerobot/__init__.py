"""LeRobot data sets, v3.0 and v2.1 (https://huggingface.co/docs/lerobot/lerobot-dataset-v3)."""
