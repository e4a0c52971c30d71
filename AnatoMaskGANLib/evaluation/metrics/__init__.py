"""Metrics: what is measured on a case, on its samples and on sets of images.

`definitions` lists them all with their names in tables. They know arrays and volumes, no networks.
"""
