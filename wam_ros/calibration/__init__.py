"""`wam calibrate`: where cameras stand, what their lenses do, what drivers mean by joints."""
