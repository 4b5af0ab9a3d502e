"""Which rules of good behaviour do HTTP clients keep, as their own documentation sets them up?"""
