"""VNPAY, a payment gateway of banks and cards: redirect to pay, callback (IPN), query and refund.

Run by VNPAY (Công ty Cổ phần Giải pháp Thanh toán Việt Nam); version 2.1.0 of its interface (contracts §7.4).
"""
