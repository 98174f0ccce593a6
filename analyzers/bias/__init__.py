"""Bias: does the data, and does the model, treat groups alike?"""
