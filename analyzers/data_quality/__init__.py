"""Data quality: has the data moved away from what the model was trained on?"""
