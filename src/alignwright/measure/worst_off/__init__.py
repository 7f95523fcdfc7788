"""Whom does an alignment serve, group by group of people, and who pays?"""
