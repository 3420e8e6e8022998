"""VietQR: a bank transfer by QR code, agreed between the banks through NAPAS; nobody calls back.

The money is seen on the bank's statement alone, by the note that the code carries (contracts §7.6).
"""
