"""Reaching customers and telling our own people: one gate to customers, codes to scan, welcomes, notices."""
