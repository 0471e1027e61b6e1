"""What a member may ask for: to be left alone, to have it put right, to get all we hold. Erasing: members.erasure."""
