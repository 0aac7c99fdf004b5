"""
main.cf and master.cf: syntax, expansion, declarations, typed settings.
"""
