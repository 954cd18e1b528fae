import { mount } from 'svelte'
import '../kit/kit.css'
import '../kit/parts.css'
import './desk.css'
import App from './App.svelte'

mount(App, { target: document.body })
