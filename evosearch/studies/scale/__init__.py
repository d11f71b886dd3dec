"""Do finds hold on a larger model that is trained longer?"""
